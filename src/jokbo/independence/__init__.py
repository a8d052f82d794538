"""Independence tests: one file a test, all exact under symmetries that training respects."""
