"""Where blocks are loaded, run and evicted: the executor, its backends' protocol, the block store, memory."""
