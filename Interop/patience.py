"""How long things are waited for: long enough for a machine that does much else. It only matters when something fails."""

PATIENCE = 120
