"""Training, scores and predictions: what all tasks share, and one folder for each task."""

if __name__ != "scs_keras.training":  # through the link at the top of a checkout it would be a second package
    raise ImportError(
        "Import scs_keras.training: the folder training at the top of the repository is a link for readers."
    )
