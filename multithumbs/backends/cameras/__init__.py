"""Every shot's camera in the world of its island: `pose_graph` (default) or `literal` (Eq. 6)."""
