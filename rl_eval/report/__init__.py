"""Records to figures and pages. Reads plain files; imports nothing that trains.

Each figure is one file with `render(table, out_dir) -> list[Path]`.
"""
