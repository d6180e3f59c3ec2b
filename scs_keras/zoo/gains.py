"""Initial gains of semi-coupled networks, as plain data."""

# For networks without normalisation, which over a whole image would tie a shower to how much it rains elsewhere:
# initial gains that carry signal and memory. relu(s) * sigmoid(c) keeps about 1/8 of the variance of s; a sigmoid's
# slope is at most 1/4, so gates forget within a step or two unless the recurrent kernel makes up for it.


def _scaled(scale):
    return dict(class_name="VarianceScaling", config=dict(scale=scale, mode="fan_avg", distribution="truncated_normal"))


GAINS = dict(spatial_initializer=_scaled(8.0), recurrent_initializer=_scaled(64.0))
