"""How fast this machine trains: one file a kind of measurement, all of them together in `report`."""
