"""The recipe of outlines."""

from dataclasses import dataclass
from typing import ClassVar

from scs_keras.training.reading_recipe import ReadingRecipe

# Of the data set's reader; what is not given is the data set's own.
READING = (
    "classes", "min_area", "parts", "flip", "shift", "jitter", "simplify", "cache_mb", "generated_steps",
    "generated_share",
)  # fmt: skip


@dataclass(frozen=True)
class Outlines(ReadingRecipe):
    """Outlines of objects (Sec. 5.6, Tab. 4) on COCO, Cityscapes, labelme files of your own or generated ones.

        scs-keras train outline --data coco --output DIR
        scs-keras train polygon_lstm_outline_small_coco --data coco --output DIR
        scs-keras train outline --data . --output DIR --set dataset=generated
        scs-keras train outline --data MY_IMAGES --output DIR --set dataset=labelme --weights preset

    The small models learn on generated outlines first (`generated_steps`), which never end, then on 1,239 objects of
    COCO; what came out, with hardware and minutes, is in their model cards. The paper's sizes take Cityscapes and GPUs
    (Tab. 8): batches of 32, and `--set model.clip_length=10` (LTSC).

    Attributes:
        preset, arguments, weights, freeze, steps, batch_size, seed, checkpoint_every: see `Recipe`.
        dataset: coco, cityscapes, labelme or generated; "" for the preset's.
        learning_rate: peak of a cosine schedule; 0 for the preset's.
        weight_decay: of AdamW.
        warmup: steps up to the peak.
        average: of the weights at each step, the moving average's momentum; 0 for none.
        precision: float32, or mixed_bfloat16 where the processor has it; weights are float32.
        classes: only objects of these, names separated by commas; none for the data set's own.
        min_area: only objects of so many square pixels; none for the data set's own.
        parts: of objects of several polygons, skip them or keep each as an object; none for skip.
        flip: mirror half of the crops; none for true.
        shift: by how much of the box each side of a crop moves; none for 0.08.
        jitter: largest change of brightness, contrast and colour; none for 0.2.
        simplify: vertices whose triangle is not larger, in square cells, are not learnt; none for 1.
        cache_mb: so many MB of decoded crops are kept; none for 512.
        generated_steps: so many first steps are on generated outlines alone; none for 0.
        generated_share: share of generated outlines in later batches; none for 0.
        validate: validation objects that are outlined and scored after each epoch (`val_iou` in the logs); 0 for none.
    """

    task: ClassVar[str] = "outline"
    reading: ClassVar[tuple[str, ...]] = READING
    logged: ClassVar[tuple[str, ...]] = ("iou",)

    preset: str = "polygon_scs_outline_small_coco"
    steps: int = 3000
    batch_size: int = 16
    checkpoint_every: int = 250
    weight_decay: float = 1e-4
    warmup: int = 100
    classes: str | None = None
    min_area: float | None = None
    parts: str | None = None
    flip: bool | None = None
    shift: float | None = None
    jitter: float | None = None
    simplify: float | None = None
    cache_mb: float | None = None
    generated_steps: int | None = None
    generated_share: float | None = None
