"""One module a kind of model behind the same `read` and `ask`; `backend` says what each must do."""
