"""What is measured: each scenario runs one server under one kind of load, and gives a row of figures."""
