"""Processes of our own that do what may crash, hang, print or change its process: methods and registrations."""
