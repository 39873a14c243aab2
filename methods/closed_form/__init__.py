"""Ridge regression in closed form, on features of a frozen encoder."""
