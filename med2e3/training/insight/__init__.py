"""Med3DInsight: pretraining a 3D encoder by what frozen 2D models see and say of its slices.

Sources: arXiv 2403.05141 and 2509.09064. `pipeline.train_insight` runs a recipe of kind "insight".
"""
