"""Write side of observation: where events go."""
