"""What a service is made of: locked packages, known holes in them, and where a lock has drifted."""
