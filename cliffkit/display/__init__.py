"""What a person sees while work goes on: bars, lines, a live table, all on stderr."""
