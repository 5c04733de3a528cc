"""One module for each kind of model behind `read` and `ask`; `backend` has their interface."""
