"""Texts to read: what a language model says to public prompts, by greedy choice."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.errors import RecordsError


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
) -> list[str]:
    """Return the continuation of each prompt, without it; the same every time.

    Args:
        model: A student or a teacher.
        tokenizer: Its tokenizer.
        prompts: Texts, or chats rendered with the chat template up to the assistant's turn.
        max_new_tokens: The longest answer.

    Raises:
        RecordsError: If a prompt has no token.
    """
    return [_continue(model, tokenizer, prompt, max_new_tokens) for prompt in prompts]


def _continue(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, most: int
) -> str:
    ids = torch.tensor(
        [tokenizer(prompt, add_special_tokens=False)["input_ids"]], dtype=torch.int64
    )
    start = ids.shape[1]
    if not start:
        raise RecordsError("expected a prompt with at least one token, got an empty one")
    for _ in range(most):
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
        chosen = (hidden @ model.get_output_embeddings().weight.T).argmax(dim=-1)
        if int(chosen) == tokenizer.eos_token_id:
            break
        ids = torch.cat([ids, chosen[:, None]], dim=1)
    return str(tokenizer.decode(ids[0, start:], skip_special_tokens=True))
