"""What chat is: pure values and rules, with no socket, thread, file or clock."""
