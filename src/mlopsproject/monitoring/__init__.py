"""Whether live pictures still look like those that a model knows, and whether its answers are still right."""
