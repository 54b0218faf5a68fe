from .token_label import TokenLabelLoss, TokenLabelTarget

__all__ = ['TokenLabelLoss', 'TokenLabelTarget']
