"""SQL that is put together from parts: what reaches a driver, and how it is mended."""
