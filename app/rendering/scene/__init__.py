"""The 3D view: a volume rendered by VTK off screen, its cube, its clipping box."""
