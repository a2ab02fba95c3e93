# The same commands as `python3 dev.py`, for habit; pass arguments as ARGS="...".
.PHONY: help demo up test bench
help: ; @python3 dev.py
demo: ; @python3 dev.py demo $(ARGS)
up: ; @python3 dev.py up $(ARGS)
test: ; @python3 dev.py test $(ARGS)
bench: ; @python3 dev.py bench $(ARGS)
