"""Data sets to train on: lists of questions and answers, volumes, masks, batches.

Nothing is imported here: preparing volumes must not wait for what only training needs.
"""
