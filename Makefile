# Every target is one call of make.py, which also works without make: python3 make.py help
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: up demo test lint bench guide differential fuzz faults faults-engine faults-handover faults-handover-model faults-model soak lock containers help

up demo test lint bench guide differential fuzz faults faults-engine faults-handover faults-handover-model faults-model soak lock containers help:
	@$(PYTHON) make.py $@

%:
	@$(PYTHON) make.py $@

Makefile: ;
make.py: ;
