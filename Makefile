# The commands of `python3 dev.py`. Pass arguments as ARGS="...".
.PHONY: help demo up test books dunning fire mutants bench
help: ; @python3 dev.py
demo: ; @python3 dev.py demo $(ARGS)
up: ; @python3 dev.py up $(ARGS)
test: ; @python3 dev.py test $(ARGS)
books: ; @python3 dev.py books $(ARGS)
dunning: ; @python3 dev.py dunning $(ARGS)
fire: ; @python3 dev.py fire $(ARGS)
mutants: ; @python3 dev.py mutants $(ARGS)
bench: ; @python3 dev.py bench $(ARGS)
