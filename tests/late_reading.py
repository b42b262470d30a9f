"""`sentence_order.train` as on CUDA: the numbers of a step are read when a line is logged, and not before.

torchrun --nproc_per_node=2 -m tests.late_reading OVERRIDES
"""

from sentence_order import train
from sentence_order.training import loop

if __name__ == "__main__":
    loop.choose_reading = lambda device, config: False
    train.main()
