"""Where trials run: in this process, or on Ray. Only the `ray_` files import Ray."""
