"""Cleans a CSV file of orders and sums them by shop, on Spark."""

import json
import os
import sys

from pyspark.sql import SparkSession, functions as f

# Spark takes relative paths from the folder of the driver, not from that of the attempt.
source, target = (os.path.abspath(name) for name in sys.argv[1:3])
spark = SparkSession.builder.getOrCreate()
orders = spark.read.csv(source, header=True, inferSchema=True)
orders = orders.withColumn("shop", f.upper(f.trim("shop"))).where(f.col("amount") >= int(sys.argv[3]))
totals = orders.groupBy("shop").agg(f.sum("amount").alias("total")).orderBy("shop")
totals.coalesce(1).write.csv(target, header=True)
result = {row["shop"]: row["total"] for row in totals.collect()}
spark.stop()

output = os.environ["JOBWRIGHT_OUTPUT"]
with open(output + ".new", "w") as file:
    json.dump(result, file)
os.rename(output + ".new", output)
