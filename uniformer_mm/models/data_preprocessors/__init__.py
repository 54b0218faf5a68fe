from .batch_mix import BatchMixFlip

__all__ = ['BatchMixFlip']
