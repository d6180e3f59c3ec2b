"""What recipes optimise with."""

import keras


def cosine_adamw(
    peak: float, steps: int, warmup: int, weight_decay: float, average: float = 0.0
) -> keras.optimizers.AdamW:
    """AdamW whose learning rate rises from a tenth of the peak to it, then falls as a cosine to 0.

    Args:
        peak: of the learning rate.
        steps: after the warm-up, until 0.
        warmup: steps up to the peak.
        weight_decay: of AdamW.
        average: momentum of a moving average of the weights, which they are at the end; 0 for none.
    """
    schedule = keras.optimizers.schedules.CosineDecay(peak / 10, steps, warmup_target=peak, warmup_steps=warmup)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    if average:
        optimizer.use_ema, optimizer.ema_momentum, optimizer.ema_overwrite_frequency = True, average, None
    return optimizer
