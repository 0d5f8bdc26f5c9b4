# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta Strip's engine. Modules here are stdlib only; the packages below may use torch, never bpy."""

__version__ = "0.1.0"
