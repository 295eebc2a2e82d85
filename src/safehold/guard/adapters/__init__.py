"""One module per library, with ``apply(module, gate)``; see `safehold.guard.importing`."""
