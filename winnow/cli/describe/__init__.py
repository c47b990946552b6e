"""What commands print, as plain lines: plans, stored runs, methods, this machine."""
