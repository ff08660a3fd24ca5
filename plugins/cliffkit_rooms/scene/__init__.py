"""What a room is: draws, materials, parts, the shell with its openings and lamps, and what stands where."""
