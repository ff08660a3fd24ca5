"""What cliffkit does, one function each: commands, notebooks and tests call these."""
