"""The machine under nar: files that are whole or not there, and how much of the machine this process may have.

Read files (written in one move, read with their shape checked, a folder locked for one process) and shapes (is a value
of the type that it should be?), then limits (memory and cores), allocator (freed memory is kept) and collector (what
was imported is not searched for garbage). Nothing here knows what a run or a tensor is.
"""
