"""Tables, plots and pages made of the rows of a results folder."""
