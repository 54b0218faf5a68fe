"""``python -m uniformer_mm`` prints the folder that holds configs and tools."""

from uniformer_mm.home import home

print(home())
