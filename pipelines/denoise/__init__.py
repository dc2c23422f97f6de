"""A derived series of the same images with less noise, where a route asks for one."""
