"""What passwords, keys and tokens look like, and how they are taken out of texts.

The tables are read by the audit of sources, which finds secrets, and by the recorder, which
keeps them out of the trail.
"""
