from .teacher_tokens import TeacherTokenLoss
from .token_label import TokenLabelLoss, TokenLabelTarget

__all__ = ['TeacherTokenLoss', 'TokenLabelLoss', 'TokenLabelTarget']
