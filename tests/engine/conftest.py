# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread for torch in every test process: their small calls are no faster on several, and
several processes with several threads each wait for one another in every layer."""

import torch

torch.set_num_threads(1)
