"""The run file: its format, and how it is made, written block by block, read, checked, resumed and joined."""
