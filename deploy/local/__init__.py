"""The estate on one machine: embedded servers, the table of processes and the supervisor behind `make up`."""
