"""The only room that knows Redis: keys, one typed function a script, connections and the batcher."""
