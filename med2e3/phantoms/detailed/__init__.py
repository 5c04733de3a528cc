"""Bodies of organ shapes: a torso with its bones, organs, vessels and bowel, no two alike."""
