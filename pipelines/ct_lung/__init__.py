"""Left and right lung on chest CT: volume, mean density, emphysema index. No trained weights."""
