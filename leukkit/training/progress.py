"""Where a fold stands: a bar with fold, epoch, validation score and time left; TensorBoard."""

import pathlib

from leukkit.files import bar


class FoldProgress:
    """Shows the progress of one fold.

    Args:
        run: Dict that names the run.
        number: Of the fold, from 0.
        folds: Number of folds.
        recipe: A `Recipe`.
        fold: A `splits.Fold`.
        folder: The fold's folder.
        tensorboard: Whether to write TensorBoard logs into it.
    """

    def __init__(self, run, number, folds, recipe, fold, folder, tensorboard):
        name = " ".join(str(value) for value in run.values() if value)
        steps = recipe.steps or len(fold.train) // recipe.batch_size
        self.epochs = recipe.epochs
        self.bar = bar(recipe.epochs * steps, f"{name}, fold {number + 1} of {folds}", "batch")
        self.logs = pathlib.Path(folder) / "tensorboard" if tensorboard else None
        self.writer = None

    def __enter__(self):
        if self.logs:
            import tensorflow as tf

            self.writer = tf.summary.create_file_writer(str(self.logs))
        return self

    def __exit__(self, *error):
        self.bar.close()
        if self.writer:
            self.writer.close()

    def report(self, batches, row=None):
        """Move the bar by some batches; after an epoch, name its scores."""
        self.bar.update(batches)
        if row is None:
            return
        score = f"validation accuracy {row['validation_accuracy']:.3f}"
        self.bar.set_postfix_str(f"epoch {row['epoch']} of {self.epochs}, {score}")
        if self.writer:
            import tensorflow as tf

            with self.writer.as_default(step=row["epoch"]):
                for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
                    tf.summary.scalar(name, row[name])
