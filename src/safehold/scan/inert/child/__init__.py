"""What runs in the child process: the standard library and these files alone, imported by path.

They import each other relatively, so that they need neither safehold nor ``sys.path``.
"""
