"""A tokenizer of whole words with a chat template, made on the spot."""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

_TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} <end>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
_WORDS = (
    *("<pad>", "<unk>", "<end>", "<system>", "<user>", "<assistant>"),
    *("hello", "who", "are", "you", "a", "student", "of", "yours", "chat"),
)


def word_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer over fifteen words."""
    model = WordLevel({word: number for number, word in enumerate(_WORDS)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    )
    made.chat_template = _TEMPLATE
    return made
